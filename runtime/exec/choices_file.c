/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of measured kernels, JSON:
 *   {"format": "braid kernels 1", "cpu": "...", "cpu_flags": "blas+avx2+...", "braid": "0.1.0",
 *    "kernels": "16 hex digits", "choices": {"Conv ...": "conv2d_f32__..."}}
 * It counts for this CPU under these flags, and for the table of kernels it was measured with, which "kernels" stands
 * for: a hash of the names of its rows. */
#include "exec/choices.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FORMAT "braid kernels 1"
enum { CPU_CHARS = 256, FLAGS_CHARS = 128, TABLE_CHARS = 17 };

static void trim(char *text) {
  size_t n = strlen(text);
  while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' ')) text[--n] = '\0';
}

/* "model name : ..." of /proc/cpuinfo; the architecture where there is none. */
void exec_cpu_name(char *buf, size_t size) {
  char line[256];
  struct utsname name;
  snprintf(buf, size, "%s", uname(&name) == 0 ? name.machine : "unknown");
  FILE *file = fopen("/proc/cpuinfo", "r");
  while (file && fgets(line, sizeof line, file)) {
    const char *colon = strchr(line, ':');
    if (!colon || strncmp(line, "model name", 10) != 0) continue;
    snprintf(buf, size, "%s", colon + 1 + strspn(colon + 1, " "));
    trim(buf);
    break;
  }
  if (file) fclose(file);
}

/* What choices are good for. */
struct origin {
  char cpu[CPU_CHARS], flags[FLAGS_CHARS], table[TABLE_CHARS];
};

static struct origin origin_of(uint32_t cpu_flags) {
  struct origin o;
  int n;
  const struct braid_kernel *const *table = braid_kernels(&n);
  uint64_t hash = 0;
  for (int i = 0; i < n; i++) hash = (hash ^ braid_fnv1a(table[i]->name)) * UINT64_C(1099511628211);
  exec_cpu_name(o.cpu, sizeof o.cpu);
  braid_cpu_flags_text(cpu_flags, o.flags, sizeof o.flags);
  snprintf(o.table, sizeof o.table, "%016" PRIx64, hash);
  return o;
}

enum braid_status braid_choices_path(char *buf, size_t size) {
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  int n;
  if (cache && cache[0] == '/') /* others are to be ignored, says the XDG base directory specification */
    n = snprintf(buf, size, "%s/braid/kernels.json", cache);
  else if (home && *home)
    n = snprintf(buf, size, "%s/.cache/braid/kernels.json", home);
  else
    return braid_fail(BRAID_ENOTFOUND, "neither XDG_CACHE_HOME nor HOME says where caches are");
  return n >= 0 && (size_t)n < size ? BRAID_OK : braid_fail(BRAID_EINVAL, "the path of the cache is too long");
}

/* --------------------------------------------------------------------------------------------------- read */

static const char *text_of(const json_t *root, const char *key) {
  const char *text = json_string_value(json_object_get(root, key));
  return text ? text : "";
}

static enum braid_status check_origin(const char *path, const json_t *root, uint32_t cpu_flags) {
  struct origin here = origin_of(cpu_flags);
  const char *cpu = text_of(root, "cpu"), *flags = text_of(root, "cpu_flags");
  if (strcmp(text_of(root, "format"), FORMAT) != 0)
    return braid_fail(BRAID_EFORMAT, "%s: not a file of measured kernels ('%s'); 'braid tune' makes it anew", path,
                      FORMAT);
  if (strcmp(cpu, here.cpu) != 0 || strcmp(flags, here.flags) != 0)
    return braid_fail(BRAID_EMISMATCH, "%s: measured on '%s' (%s), this is '%s' (%s); 'braid tune' measures here", path,
                      cpu, flags, here.cpu, here.flags);
  if (strcmp(text_of(root, "braid"), BRAID_VERSION) != 0 || strcmp(text_of(root, "kernels"), here.table) != 0)
    return braid_fail(BRAID_EMISMATCH,
                      "%s: measured with Braid %s (kernels %s), this is %s (%s); 'braid tune' measures anew", path,
                      text_of(root, "braid"), text_of(root, "kernels"), BRAID_VERSION, here.table);
  return BRAID_OK;
}

static enum braid_status take(const char *path, const json_t *root, struct braid_choices *choices) {
  json_t *all = json_object_get(root, "choices"), *value;
  const char *key;
  if (!json_is_object(all)) return braid_fail(BRAID_EFORMAT, "%s: no choices in it; 'braid tune' makes it anew", path);
  json_object_foreach(all, key, value)
    if (!json_is_string(value)) return braid_fail(BRAID_EFORMAT, "%s: no kernel's name is given for '%s'", path, key);
  json_decref(choices->kernel);
  choices->kernel = json_incref(all);
  return BRAID_OK;
}

enum braid_status braid_choices_read(const char *path, uint32_t cpu_flags, struct braid_choices **out) {
  struct braid_choices *choices;
  json_error_t error;
  FILE *file = fopen(path, "r");
  bool none = !file && (errno == ENOENT || errno == ENOTDIR);
  if (!file) return braid_fail(none ? BRAID_ENOTFOUND : BRAID_EIO, "%s: %s", path, strerror(errno));
  json_t *root = json_loadf(file, 0, &error);
  fclose(file);
  if (!root)
    return braid_fail(BRAID_EFORMAT, "%s:%d: %s; 'braid tune' makes it anew", path, error.line, error.text);
  enum braid_status status = braid_choices_create(cpu_flags, &choices);
  if (status == BRAID_OK) {
    status = check_origin(path, root, cpu_flags);
    if (status == BRAID_OK) status = take(path, root, choices);
    if (status != BRAID_OK)
      braid_choices_destroy(&choices);
    else
      *out = choices;
  }
  json_decref(root);
  return status;
}

/* -------------------------------------------------------------------------------------------------- write */

/* The folders of a file, as far as they are missing. */
static enum braid_status make_folders(const char *path) {
  char *folder = braid_strdup(path);
  if (!folder) return braid_fail(BRAID_ENOMEM, "no memory for a path");
  enum braid_status status = BRAID_OK;
  for (char *at = strchr(folder + 1, '/'); at && status == BRAID_OK; at = strchr(at + 1, '/')) {
    *at = '\0';
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
      status = braid_fail(BRAID_EIO, "%s: %s", folder, strerror(errno));
    *at = '/';
  }
  braid_free(folder);
  return status;
}

/* Under a name of its own in the same folder first: whoever reads meanwhile has the old file or the new one. */
static enum braid_status replace_file(const char *path, const json_t *root) {
  char made[4096];
  int n = snprintf(made, sizeof made, "%s.XXXXXX", path);
  if (n < 0 || (size_t)n >= sizeof made) return braid_fail(BRAID_EINVAL, "%s: the path is too long", path);
  int fd = mkstemp(made);
  if (fd < 0) return braid_fail(BRAID_EIO, "%s: %s", made, strerror(errno));
  bool good = json_dumpfd(root, fd, JSON_INDENT(1) | JSON_SORT_KEYS) == 0 && write(fd, "\n", 1) == 1 && fsync(fd) == 0;
  if (close(fd) != 0) good = false;
  if (good && rename(made, path) == 0) return BRAID_OK;
  enum braid_status status = braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
  unlink(made);
  return status;
}

enum braid_status braid_choices_write(const struct braid_choices *choices, const char *path) {
  struct origin o = origin_of(choices->cpu_flags);
  BRAID_TRY(make_folders(path));
  json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:s, s:O}", "format", FORMAT, "cpu", o.cpu, "cpu_flags", o.flags,
                           "braid", BRAID_VERSION, "kernels", o.table, "choices", choices->kernel);
  if (!root) return braid_fail(BRAID_ENOMEM, "no memory for %s", path);
  enum braid_status status = replace_file(path, root);
  json_decref(root);
  return status;
}
