/* SPDX-License-Identifier: MIT */
#ifndef PUBLIC_H
#define PUBLIC_H

void test_models(void);
void test_text(void);

#endif
