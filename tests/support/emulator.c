/* SPDX-License-Identifier: Apache-2.0 */
#include "emulator.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int read_address(struct emulator *e) {
  static const char listening[] = "listening on ";
  char line[128];
  if (!fgets(line, sizeof line, e->out) || strncmp(line, listening, sizeof listening - 1) != 0) return 0;
  const char *address = line + sizeof listening - 1;
  snprintf(e->address, sizeof e->address, "tcp://%.*s", (int)strcspn(address, "\n"), address);
  return 1;
}

int emulator_start(const char *to, struct emulator *e) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) return 0;
  fflush(stdout);
  *e = (struct emulator){.pid = vfork()};
  if (e->pid == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    execl(LINKEMU, LINKEMU, "--to", to + strlen("tcp://"), "--listen", "127.0.0.1:0", "--quit-on-eof", (char *)NULL);
    _exit(99);
  }
  close(in[0]);
  close(out[1]);
  e->in = fdopen(in[1], "w");
  e->out = fdopen(out[0], "r");
  return e->pid > 0 && e->in && e->out && read_address(e);
}

int emulator_say(struct emulator *e, const char *command) {
  char line[128];
  fprintf(e->in, "%s\n", command);
  fflush(e->in);
  return fgets(line, sizeof line, e->out) && strcmp(line, "ok\n") == 0;
}

void emulator_stop(struct emulator *e) {
  int status;
  kill(e->pid, SIGKILL);
  waitpid(e->pid, &status, 0);
  fclose(e->in);
  fclose(e->out);
}
