/* SPDX-License-Identifier: MIT */
/*
 * The types of weights, a file each.  Included as often as something is wanted of every type; a
 * file gives what is defined where it is included:
 *
 *   WEIGHT_TYPE(NAME, name, form, number, ...)	its line in a table: form is FLOAT, PLAIN or SCALED
 *						(type.h), number GGML's, the rest initialises the
 *						fields of struct weight_type
 *   TYPE_SCALAR	in plain C: name_unpack() of a block, or of floats name_widen()
 *   TYPE_WORDS	in vectors, a row to a lane: name_words() of a block (isa/panel.h)
 *   TYPE_AVX2		or of floats name_load8()
 */
#ifndef WEIGHT_TYPE
#define WEIGHT_TYPE(...)
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
