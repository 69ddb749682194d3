"""Brain encoders: subject front ends, backbones and heads."""
