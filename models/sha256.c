/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 (FIPS 180-4) of files that come in pieces, by libsodium. */
#include "braid/models.h"

#include <sodium.h>

struct braid_sha256 {
  crypto_hash_sha256_state state;
};

enum braid_status braid_sha256_create(struct braid_sha256 **out) {
  struct braid_sha256 *sha = braid_malloc(sizeof *sha);
  if (!sha) return braid_fail(BRAID_ENOMEM, "no memory to hash a file");
  (void)crypto_hash_sha256_init(&sha->state);
  *out = sha;
  return BRAID_OK;
}

void braid_sha256_add(struct braid_sha256 *sha, const void *data, size_t bytes) {
  (void)crypto_hash_sha256_update(&sha->state, data, (unsigned long long)bytes);
}

void braid_sha256_text(struct braid_sha256 *sha, char text[65]) {
  unsigned char hash[crypto_hash_sha256_BYTES];
  (void)crypto_hash_sha256_final(&sha->state, hash);
  (void)sodium_bin2hex(text, 65, hash, sizeof hash);
}

void braid_sha256_destroy(struct braid_sha256 **sha) {
  braid_free(*sha);
  *sha = NULL;
}
