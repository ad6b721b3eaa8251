"""Client-side models of which whoever averages them learns the sum alone: secure aggregation.

The protocol is that of `splitopt.secure_sum.protocol`. Keys and shares go before the model comes
down, so that a device sends its masked vector as soon as it is done, and what is lost from then on
can be unmasked; the vector takes the place of the model on its way up. Its entries are the device's
trained parameters and what its layers write besides, times the weight of the device in the average.
"""
