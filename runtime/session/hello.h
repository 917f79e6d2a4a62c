/* SPDX-License-Identifier: Apache-2.0
 * The first words of a session. HELLO's payload is
 *   {"version": 4, "model": "googlenet", "hash": "<64 hex digits>", "threads": 2, "profile": true,
 *    "run": "<16 hex digits>", "file_bytes": 28000000, "file_sha256": "<64 hex digits>", "batch": 1}
 * where "run" names this start of the edge, for results that are delivered in the cloud (may be left out without them).
 * The last three are said by an edge that would send the model's file if the cloud wants it; the file gives the network
 * of that hash when its first dimension, if left open, is `batch`. An edge that keeps a trace adds "trace": a name for
 * this session, up to 32 hex digits, that a cloud's trace repeats. WELCOME's payload is the profile of that model on the
 * cloud, as JSON, or nothing when "profile" is false (an edge that brings its own plan). WELCOME's node is the cloud's
 * number of workers. */
#ifndef SESSION_HELLO_H
#define SESSION_HELLO_H

#include "braid/runtime.h"

enum { HELLO_TRACE_BYTES = 33 };

enum { HELLO_MAX_BATCH = 1 << 16 };

struct hello {
  int version, threads;
  char model[256];
  char hash[65];
  char run[BRAID_RUN_CHARS + 1]; /* "": not given */
  bool wants_profile;
  uint64_t file_bytes; /* 0: no file is offered */
  char file_sha256[65];
  int batch;
  char trace[HELLO_TRACE_BYTES]; /* "": none */
};
BRAID_NODISCARD enum braid_status hello_to_json(const struct hello *hello, char **text);
/* Untrusted text; bounded. */
BRAID_NODISCARD enum braid_status hello_from_json(const char *text, size_t size, struct hello *hello);
/* 64 hex digits, as hashes are written. */
bool hello_is_hash(const char *text);

#endif
