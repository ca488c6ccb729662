"""Name one model of each family: its smallest, for tests that must see every architecture."""

SMALLEST = (
    "mobilevit_xxs",
    "mobilevitv2_050",
    "efficientvit_m0",
    "shvit_s1",
    "levit_128s",
    "levit_conv_128s",
    "efficientformerv2_s0",
)
