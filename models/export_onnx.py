"""Export a trained policy: ONNX graph and manifest, checked on recorded observations.

    python -m models.export_onnx RUN/model.zip --out DIR

Exit code 0 when the model was exported, 2 when it cannot be.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from models.command_line import Parser, try_folder
from models.learning.export import export

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Export and print what was checked; 2 when it cannot be."""
    parser = Parser(
        prog="python -m models.export_onnx",
        command="export",
        description="Export a trained policy.",
    )
    parser.add_argument("model", type=Path, help="model.zip in the folder that models.train wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model-id", help="default: the name of the folder")
    options = parser.parse_args(argv)
    try:
        try_folder("--out", options.out)
        manifest = export(options.model, options.out, options.model_id)
    except (ValueError, OSError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 2
    print(
        f"{manifest.model_id}: sha256 {manifest.onnx_sha256}, largest difference "
        f"{manifest.max_difference:.2e} on {manifest.checked_observations} recorded observations"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
