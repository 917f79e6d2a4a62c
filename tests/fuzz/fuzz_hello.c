/* SPDX-License-Identifier: Apache-2.0
 * HELLO's JSON, the first thing a stranger says: what is taken is bounded and printable, and can be said again. */
#include "session/hello.h"
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct hello hello, again;
  if (hello_from_json((const char *)data, size, &hello) != BRAID_OK) return 0;
  if (hello.threads < 1 || !hello.model[0] || strlen(hello.model) >= sizeof hello.model) __builtin_trap();
  bool offers = hello.file_bytes > 0;
  if (offers && (!hello_is_hash(hello.file_sha256) || !hello_is_hash(hello.hash) || hello.batch < 1)) __builtin_trap();
  char *text;
  if (hello_to_json(&hello, &text) != BRAID_OK) __builtin_trap();
  if (hello_from_json(text, strlen(text), &again) != BRAID_OK) __builtin_trap();
  if (strcmp(hello.model, again.model) != 0 || hello.threads != again.threads) __builtin_trap();
  if (offers && (hello.file_bytes != again.file_bytes || hello.batch != again.batch)) __builtin_trap();
  if (strcmp(offers ? hello.file_sha256 : "", again.file_sha256) != 0) __builtin_trap();
  braid_free(text);
  return 0;
}
