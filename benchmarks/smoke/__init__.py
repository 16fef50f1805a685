"""Every stage of a run, undisturbed and killed: do both end alike?"""
