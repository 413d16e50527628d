/* SPDX-License-Identifier: MIT */
#ifndef PUBLIC_H
#define PUBLIC_H

#define PUBLIC_MODEL "models/octans-demo.gguf"

void test_files(void);
void test_models(void);
void test_text(void);

#endif
