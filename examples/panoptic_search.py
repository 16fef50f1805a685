"""Searches a panoptic segmentation network: backbone, mask head, segmentation head and fusion together.

    python examples/panoptic_search.py                      # generated scenes, eight to fifteen minutes on a CPU
    python examples/panoptic_search.py --quick              # every stage, in about a minute
    python examples/panoptic_search.py --data DIR           # images in COCO panoptic format
    python examples/panoptic_search.py --config FILE        # what you want, as YAML
    python examples/panoptic_search.py --resume             # go on with an interrupted run

The same program is installed as ``autopanoptic panoptic run``; ``--help`` lists its options, and
``autopanoptic panoptic config show --explain`` prints every setting.
"""

import typer

from autopanoptic.panoptic.run.commands import run

if __name__ == "__main__":
    typer.run(run)
