"""The depth slot, filled by the decoder of Hu et al., "Revisiting Single Image Depth Estimation" (WACV 2019)."""
