/* SPDX-License-Identifier: Apache-2.0
 * The first words of a session. HELLO's payload is
 *   {"version": 4, "model": "googlenet", "hash": "<64 hex digits>", "threads": 2, "profile": true,
 *    "run": "<16 hex digits>"}
 * where "run" names this start of the edge, for results that are delivered in the cloud (may be left out without them).
 * An edge that keeps a trace adds "trace": a name for this session, up to 32 hex digits, that a cloud's trace repeats.
 * WELCOME's is the profile of that model on the cloud, as JSON, or nothing when "profile" is false (an edge that
 * brings its own plan). WELCOME's node is the cloud's number of workers. */
#ifndef SESSION_HELLO_H
#define SESSION_HELLO_H

#include "braid/runtime.h"

enum { HELLO_TRACE_BYTES = 33 };

struct hello {
  int version, threads;
  char model[256];
  char hash[65];
  char run[BRAID_RUN_CHARS + 1]; /* "": not given */
  bool wants_profile;
  char trace[HELLO_TRACE_BYTES]; /* "": none */
};
BRAID_NODISCARD enum braid_status hello_to_json(const struct hello *hello, char **text);
/* Untrusted text; bounded. */
BRAID_NODISCARD enum braid_status hello_from_json(const char *text, size_t size, struct hello *hello);

#endif
