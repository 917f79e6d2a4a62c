/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud_process.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Its first line, byte by byte: what follows stays in the pipe. */
static bool read_line(int fd, char *line, size_t size) {
  size_t n = 0;
  while (n + 1 < size && read(fd, line + n, 1) == 1 && line[n] != '\n') n++;
  line[n] = '\0';
  return n > 0;
}

/* Events beyond what the pipe holds are lost: a cloud must not be held up by who does not listen. */
bool cloud_process_start(const char *address, const char *dir, const char *heartbeat, struct cloud_process *cloud) {
  int out[2];
  char line[256];
  if (pipe2(out, O_CLOEXEC) != 0) return false;
  fflush(stdout);
  *cloud = (struct cloud_process){.pid = vfork(), .out = out[0]};
  if (cloud->pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails just exits */
    dup2(out[1], 1);
    execl(BRAID, BRAID, "cloud", "--listen", address, "--models", dir, "--kernels", "ref", "--threads", "1",
          "--heartbeat", heartbeat, (char *)NULL);
    _exit(99);
  }
  bool listens =
      cloud->pid > 0 && read_line(out[0], line, sizeof line) && sscanf(line, "listening on %127s", cloud->address) == 1;
  fcntl(out[1], F_SETFL, O_NONBLOCK); /* shared with the child: writing never blocks it */
  close(out[1]);
  return listens;
}

bool cloud_process_kill(struct cloud_process *cloud) {
  int status;
  kill(cloud->pid, SIGKILL);
  close(cloud->out);
  return waitpid(cloud->pid, &status, 0) == cloud->pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

long cloud_process_rss_kib(const struct cloud_process *cloud) {
  char path[64], line[128];
  long kib = -1;
  snprintf(path, sizeof path, "/proc/%d/status", (int)cloud->pid);
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file) && sscanf(line, "VmRSS: %ld", &kib) != 1) continue;
  if (file) fclose(file);
  return kib;
}

int cloud_process_fds(const struct cloud_process *cloud) {
  char path[64];
  int n = -2; /* . and .. */
  snprintf(path, sizeof path, "/proc/%d/fd", (int)cloud->pid);
  DIR *dir = opendir(path);
  while (dir && readdir(dir)) n++;
  if (dir) closedir(dir);
  return n;
}
