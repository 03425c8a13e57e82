"""Kernels in plain torch: gather-GEMM, line taps, product-first sums, Winograd tiles, dense with a mask."""
