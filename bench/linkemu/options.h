/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LINKEMU_OPTIONS_H
#define LINKEMU_OPTIONS_H

#include "shaper.h"

#include <netinet/in.h>

enum { UP, DOWN }; /* client to target, and back */

/* The exit codes of docs/cli.md that a proxy can need. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_BAD_INPUT = 3, EXIT_LINK = 4, EXIT_INTERRUPTED = 130 };

struct options {
  struct sockaddr_in listen, to;
  struct rate_plan rate[2];
  int64_t delay_ns[2], jitter_ns;
  uint64_t seed;
  size_t queue_bytes;                                         /* 0: by rate and delay */
  int64_t cut_at_ns, cut_for_ns, freeze_at_ns, freeze_for_ns; /* at: -1 for never */
  bool quit_on_eof;
};

/* True: go on. False: *exit_code says how the program ends; a message has been printed. */
bool options_parse(int argc, char **argv, struct options *out, int *exit_code);

#endif
