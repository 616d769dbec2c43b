"""convkit's Python side: `python -m convkit.record` records what a module computes, and `python -m convkit.port`
writes it in C++. It needs torch and safetensors alone."""
