"""``python -m mmrec`` is the `mmrec` command."""

from mmrec.cli import main

if __name__ == "__main__":
    main()
