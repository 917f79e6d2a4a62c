/* SPDX-License-Identifier: Apache-2.0
 * Child processes of the demo: started on one CPU, heard through a pipe, ended by their own pid, always. */
#ifndef BRAID_CLI_CHILD_H
#define BRAID_CLI_CHILD_H

#include "cli.h"

#include <sys/types.h>

struct child {
  pid_t pid;    /* 0: not running */
  int to, from; /* its standard input and output; -1: closed */
  char name[32];
};

/* argv[0] is the program's path. cpu < 0: anywhere; standard error goes to the file `log` (appended). The child gets
 * SIGTERM should we die. */
BRAID_NODISCARD enum braid_status child_start(const char *name, const char *const *argv, int cpu, const char *log,
                                              struct child *out);
/* A line of its output without the newline. BRAID_ETIMEDOUT; BRAID_ECLOSED at the end of the output or on an interrupt.
 */
BRAID_NODISCARD enum braid_status child_line(struct child *child, int64_t timeout_ns, char *buf, size_t size);
/* Its exit status after its output was read to the end; 128 + signal when it was killed. */
int child_wait(struct child *child);
/* SIGTERM, and SIGKILL when that is not enough within some seconds. Fine on one that has not been started. */
void child_stop(struct child *child);

/* The n-th CPU this process may use, counted from 0; the last one where there are fewer; -1 where that is not known. */
int child_cpu(int n);

#endif
