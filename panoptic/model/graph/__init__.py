"""Graph reasoning between things and stuff, after BGRNet (Wu et al. 2020).

From BGRNet's text: a graph of things over the regions' pooled features, a graph of stuff whose nodes are class centres
of local features, a bidirectional connection that propagates within each graph and across both, and nodes that are
projected back onto features. Its widths and equations are not public in code. From the closest public relative,
Graphonomy's panoptic network (Lin et al. 2020): the nodes' widths, the attention (Veličković et al. 2018), how nodes
come from features, and how they go back. How messages go across the graphs is ours. So this is after BGRNet, and not
BGRNet itself.
"""
