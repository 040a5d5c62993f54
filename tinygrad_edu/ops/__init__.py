"""The primitives: what each computes, and one derivative rule per input. One file per family."""
