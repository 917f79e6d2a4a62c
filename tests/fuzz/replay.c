/* SPDX-License-Identifier: Apache-2.0
 *
 * Feeds every file of the given directories to the fuzz target, so that the corpus is an ordinary test under any
 * compiler. Each input lies in a block of exactly its size: AddressSanitizer sees the first byte read past it. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int replay_file(const char *path) {
  FILE *file = fopen(path, "rb");
  struct stat st;
  if (!file || fstat(fileno(file), &st) != 0) {
    fprintf(stderr, "cannot read %s\n", path);
    if (file) fclose(file);
    return -1;
  }
  size_t size = (size_t)st.st_size;
  uint8_t *data = malloc(size ? size : 1);
  int ok = data && fread(data, 1, size, file) == size;
  fclose(file);
  fprintf(stderr, "%s (%zu bytes)\n", path, size);
  if (ok) LLVMFuzzerTestOneInput(data, size);
  free(data);
  return ok ? 0 : -1;
}

/* Number of files replayed, -1 when one could not be read. */
static int replay_dir(const char *dir) {
  struct dirent **entry;
  int n = scandir(dir, &entry, NULL, alphasort), done = 0;
  if (n < 0) {
    fprintf(stderr, "cannot list %s\n", dir);
    return -1;
  }
  for (int i = 0; i < n; i++) {
    char path[4096];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, entry[i]->d_name);
    free(entry[i]);
    if (done < 0 || stat(path, &st) != 0 || !S_ISREG(st.st_mode)) continue;
    done = replay_file(path) == 0 ? done + 1 : -1;
  }
  free(entry);
  return done;
}

int main(int argc, char **argv) {
  int total = 0;
  LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
  for (int i = 1; i < argc; i++) {
    int n = replay_dir(argv[i]);
    if (n < 0) return 1;
    total += n;
  }
  printf("%d inputs replayed\n", total);
  return total > 0 ? 0 : 1;
}
