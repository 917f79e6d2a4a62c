/* SPDX-License-Identifier: Apache-2.0
 * Key files and allow-lists: what is taken keeps the form that names and keys have, and can be written and read again.
 */
#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "keys.h"

static void check_key(const char *key) {
  char again[BRAID_KEY_BYTES];
  if (strlen(key) != BRAID_KEY_BYTES - 1) __builtin_trap();
  if (key_parse(key, strlen(key), again) != BRAID_OK && key[0] != '#') __builtin_trap();
}

static void check_list(const char *text, size_t size) {
  struct allowed_entry *entry, *again;
  int n, n_again;
  if (allowed_parse(text, size, &entry, &n) != BRAID_OK) {
    if (entry || n) __builtin_trap();
    return;
  }
  char *copy = braid_malloc((size_t)n * sizeof *entry + 1), *at = copy;
  for (int i = 0; i < n; i++) {
    if (!key_name_ok(entry[i].name)) __builtin_trap();
    check_key(entry[i].key);
    at += sprintf(at, "%s %s\n", entry[i].name, entry[i].key);
  }
  if (allowed_parse(copy, (size_t)(at - copy), &again, &n_again) != BRAID_OK || n_again != n) __builtin_trap();
  if (n && memcmp(entry[n - 1].name, again[n - 1].name, strlen(entry[n - 1].name) + 1) != 0) __builtin_trap();
  braid_free(copy);
  braid_free(entry);
  braid_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char key[BRAID_KEY_BYTES];
  if (key_parse((const char *)data, size, key) == BRAID_OK) check_key(key);
  check_list((const char *)data, size);
  return 0;
}
