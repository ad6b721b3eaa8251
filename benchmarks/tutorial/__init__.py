"""The tutorial, command by command, from a fresh clone if asked, with the seconds of each."""
