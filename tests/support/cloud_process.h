/* SPDX-License-Identifier: Apache-2.0
 * `braid cloud` as a child process, which ends with the thread that started it. Library process_rig. */
#ifndef TESTS_SUPPORT_CLOUD_PROCESS_H
#define TESTS_SUPPORT_CLOUD_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

struct cloud_process {
  pid_t pid;
  char address[128]; /* "tcp://127.0.0.1:PORT" */
  int out;           /* its events; nobody reads them, and nobody has to */
};
/* Serves the .onnx files of `dir` with the reference kernels on one worker. Listens at `address` ("tcp://127.0.0.1:0":
 * any port); `heartbeat` as the option. False: it does not start. Fine in a process with threads. */
bool cloud_process_start(const char *address, const char *dir, const char *heartbeat, struct cloud_process *out);
/* SIGKILL. False: it had ended by itself. */
bool cloud_process_kill(struct cloud_process *cloud);
long cloud_process_rss_kib(const struct cloud_process *cloud);
int cloud_process_fds(const struct cloud_process *cloud);

#endif
