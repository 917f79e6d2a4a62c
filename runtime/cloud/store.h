/* SPDX-License-Identifier: Apache-2.0
 * Models that edges bring, as files in one folder and as networks in memory. Three kinds of names are in the folder:
 *   SHA256.onnx      a model, whole and checked
 *   HASH.network     "SHA256 BATCH": where the network of that content hash comes from
 *   part-XXXXXX.onnx a model that is on its way; locked (flock) by who writes it, so that leftovers can be told
 * The folder is the truth: nothing is remembered that several clouds could disagree on. All names are made here, of
 * hashes that were checked to be 64 hex digits. Private to runtime/cloud. */
#ifndef CLOUD_STORE_H
#define CLOUD_STORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "braid/runtime.h"
#include "session/hello.h"

enum { STORE_PATH_BYTES = 4096, STORE_MAX_MODELS = 1000 };

struct stored;

struct braid_store {
  char *dir; /* DIR/uploaded */
  size_t max_model_bytes, quota_bytes;
  bool unloads;            /* networks that nobody uses any more; set before the threads start */
  pthread_mutex_t names;   /* held while files are counted, made, renamed or removed */
  struct stored *loaded;   /* desk thread */
  atomic_size_t loaded_bytes; /* others may look */
};

/* A file on its way. Made anywhere; the rest belongs to whoever has it just then. */
struct incoming {
  struct braid_store *store;
  uint64_t bytes, at; /* promised; written */
  char sha256[65];    /* promised */
  struct braid_sha256 *sha;
  int fd;
  char path[STORE_PATH_BYTES]; /* "": no file */
};

size_t store_bytes(const struct braid_store *store); /* of networks that are loaded; NULL: 0 */
/* Would a model of that size be taken at all? */
BRAID_NODISCARD enum braid_status store_accepts(const struct braid_store *store, uint64_t bytes);

/* --- desk thread */
/* The network with HELLO's hash, from what is here; *graph NULL: it is not. Loading takes `room_bytes` at most. Each
 * success counts a user. */
BRAID_NODISCARD enum braid_status store_find(struct braid_store *store, const struct hello *hello, size_t room_bytes,
                                             const struct braid_graph **graph);
/* The same from a file that has come whole; if it is the network of HELLO's hash the file stays. */
BRAID_NODISCARD enum braid_status store_keep(struct braid_store *store, const struct hello *hello, size_t room_bytes,
                                             struct incoming *in, const struct braid_graph **graph);
/* One user more, one less; the last takes the network with it. Fine on networks that are not the store's, and without a
 * store. */
void store_hold(struct braid_store *store, const struct braid_graph *graph);
void store_release(struct braid_store *store, const struct braid_graph *graph);

/* --- files thread */
BRAID_NODISCARD enum braid_status incoming_create(struct braid_store *store, const struct hello *hello,
                                                  struct incoming **out); /* any thread */
/* Makes the file and takes its room on the disk. BRAID_EBUSY: the quota; BRAID_EIO: the disk. */
BRAID_NODISCARD enum braid_status incoming_open(struct incoming *in);
/* The next bytes; with the last of them the file is on the disk, and is the one that was promised (BRAID_EMISMATCH). */
BRAID_NODISCARD enum braid_status incoming_write(struct incoming *in, const void *data, size_t bytes);
void incoming_destroy(struct incoming **in); /* and its file, unless it is kept */

#endif
