/* SPDX-License-Identifier: MIT */
/* The kinds of layers: layer_NAME is in layer_NAME.c. */
LAYER_KIND(embed)
LAYER_KIND(attn_gqa)
LAYER_KIND(attn_mla)
LAYER_KIND(ffn)
LAYER_KIND(moe)
LAYER_KIND(ssm2)
LAYER_KIND(delta)
LAYER_KIND(shortconv)
LAYER_KIND(inputs)
LAYER_KIND(ple)
LAYER_KIND(head)
