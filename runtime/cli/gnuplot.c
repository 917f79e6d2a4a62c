/* SPDX-License-Identifier: Apache-2.0 */
#include "gnuplot.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static bool ends_in(const char *path, const char *end) {
  size_t n = strlen(path), m = strlen(end);
  return n > m && strcmp(path + n - m, end) == 0;
}

void gnuplot_text(FILE *out, const char *text) {
  for (; *text; text++) fputc(*text == '\'' || *text == '\n' ? ' ' : *text, out);
}

static void put_terminal(FILE *out, const char *path, int width, int height) {
  if (ends_in(path, ".svg"))
    fprintf(out, "set terminal svg size %d,%d dynamic enhanced font 'Helvetica,13' background '#ffffff'\n", width,
            height);
  else
    fprintf(out, "set terminal pngcairo size %d,%d enhanced font 'Helvetica,11'\n", width, height);
  fprintf(out, "set output '%s'\n", path);
}

static enum braid_status run(const char *option, char *script) {
  char program[] = "gnuplot";
  char *const argv[] = {program, script, NULL};
  pid_t pid;
  int state = 0, error = posix_spawnp(&pid, program, NULL, NULL, argv, environ);
  while (error == 0 && waitpid(pid, &state, 0) < 0 && errno == EINTR) continue;
  if (error == ENOENT || (error == 0 && WIFEXITED(state) && WEXITSTATUS(state) == 127))
    return braid_fail(BRAID_ENOTFOUND, "%s needs gnuplot, which is not installed (Debian: gnuplot-nox)", option);
  if (error) return braid_fail(BRAID_EIO, "cannot start gnuplot: %s", strerror(error));
  if (!WIFEXITED(state) || WEXITSTATUS(state) != 0) return braid_fail(BRAID_EIO, "gnuplot could not draw the plot");
  return BRAID_OK;
}

static enum braid_status close_script(FILE *out) {
  bool good = !ferror(out);
  if (fclose(out) != 0) good = false;
  return good ? BRAID_OK : braid_fail(BRAID_EIO, "gnuplot's script: %s", strerror(errno));
}

enum braid_status gnuplot_draw(const char *option, const char *path, int width, int height,
                               void (*put)(void *ctx, FILE *out), void *ctx) {
  const char *dir = getenv("TMPDIR");
  char script[1024];
  if (!ends_in(path, ".svg") && !ends_in(path, ".png"))
    return braid_fail(BRAID_EINVAL, "%s %s: the name must end in .svg or .png", option, path);
  if (strchr(path, '\'')) return braid_fail(BRAID_EINVAL, "%s %s: no quotes in the name, please", option, path);
  snprintf(script, sizeof script, "%s/braid-plot-XXXXXX", dir && *dir ? dir : "/tmp");
  int fd = mkstemp(script);
  FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
  if (!out) {
    if (fd >= 0) close(fd);
    return braid_fail(BRAID_EIO, "%s: %s", script, strerror(errno));
  }
  put_terminal(out, path, width, height);
  put(ctx, out);
  enum braid_status status = close_script(out);
  if (status == BRAID_OK) status = run(option, script);
  unlink(script);
  return status;
}
