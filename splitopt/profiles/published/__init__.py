"""The shipped profiles, by name: computed, measured, printed in papers, traced."""
