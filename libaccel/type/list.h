/* SPDX-License-Identifier: MIT */
/*
 * The types of weights, a file each.  Included as often as something is wanted of every type; a
 * file gives what is defined where it is included:
 *
 *   WEIGHT_TYPE(NAME, name, form, number, ...)	its line in a table: form is FLOAT, PLAIN or SCALED
 *						(type.h), number GGML's, the rest initialises the
 *						fields of struct weight_type
 *   TYPE_SCALAR	in plain C: name_unpack() of a block, or of floats name_widen()
 *   TYPE_AVX2		in vectors: name_codes() of a block, or name_load8() (isa/avx2/panel.h)
 *   AVX512_TYPE(name, form), TYPE_AVX512	if it has this, too: name_words() of sixteen blocks, one
 *						below the other (isa/avx512/panel.h); else AVX2 serves
 */
#ifndef WEIGHT_TYPE
#define WEIGHT_TYPE(...)
#endif
#ifndef AVX512_TYPE
#define AVX512_TYPE(...)
#endif
#include "f32.h"
#include "f16.h"
#include "bf16.h"
#include "q4_0.h"
#include "q4_1.h"
#include "q5_0.h"
#include "q5_1.h"
#include "q8_0.h"
#include "q2_k.h"
#include "q3_k.h"
#include "q4_k.h"
#include "q5_k.h"
#include "q6_k.h"
#include "iq4_nl.h"
#include "iq4_xs.h"
#include "mxfp4.h"
#undef WEIGHT_TYPE
#undef AVX512_TYPE
