/* SPDX-License-Identifier: Apache-2.0
 * braid-linkemu as a child process, steered by lines. Library process_rig. */
#ifndef TESTS_SUPPORT_EMULATOR_H
#define TESTS_SUPPORT_EMULATOR_H

#include <stdio.h>
#include <sys/types.h>

struct emulator {
  pid_t pid;
  FILE *in, *out;
  char address[128]; /* "tcp://127.0.0.1:PORT", where it listens */
};
/* `to`: "tcp://HOST:PORT". False: it does not start. Fine in a process with threads. */
int emulator_start(const char *to, struct emulator *out);
/* A command of its control language ("cut 300ms", "up 20mbit"). False: it was not answered by "ok". */
int emulator_say(struct emulator *e, const char *command);
void emulator_stop(struct emulator *e);

#endif
