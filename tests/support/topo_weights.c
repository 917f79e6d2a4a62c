/* SPDX-License-Identifier: Apache-2.0 */
#include "topo_weights.h"

#include "braid/base.h"
#include "testdata.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

static bool copy_file(const char *from, const char *to) {
  FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
  char buf[1 << 16];
  size_t n;
  bool ok = in && out;
  while (ok && (n = fread(buf, 1, sizeof buf, in)) > 0) ok = fwrite(buf, 1, n, out) == n;
  if (in) fclose(in);
  if (out) ok = fclose(out) == 0 && ok;
  return ok;
}

/* value = A + B * u(i): one float32 multiply, then one float32 add (no fused one: volatile keeps them apart). */
static bool write_tensor(FILE *file, const char *seed_name, size_t n, float a, float b) {
  uint64_t seed = braid_fnv1a(seed_name);
  float buf[4096];
  for (size_t i = 0; i < n;) {
    size_t part = n - i < 4096 ? n - i : 4096;
    for (size_t k = 0; k < part; k++) {
      volatile float product = b * braid_random_f32(seed, i + k);
      buf[k] = a + product;
    }
    if (fwrite(buf, sizeof *buf, part, file) != part) return false;
    i += part;
  }
  return true;
}

/* tensor, dims, offset, bytes, A, B */
static bool write_weights(const char *name, FILE *table, FILE *bin, bool weights) {
  char line[512], tensor[256], dims[64], seed_name[512];
  unsigned long long offset, bytes, end = 0;
  float a, b;
  if (!fgets(line, sizeof line, table)) return false; /* the heading */
  while (fgets(line, sizeof line, table)) {
    if (sscanf(line, "%255s %63s %llu %llu %f %f", tensor, dims, &offset, &bytes, &a, &b) != 6) return false;
    end = offset + bytes;
    if (!weights) continue;
    snprintf(seed_name, sizeof seed_name, "%s/%s", name, tensor);
    if (fseeko(bin, (off_t)offset, SEEK_SET) != 0 || !write_tensor(bin, seed_name, bytes / 4, a, b)) return false;
  }
  return weights || ftruncate(fileno(bin), (off_t)end) == 0;
}

static bool fill(const char *name, bool weights, struct topo_model *out) {
  char from[512], file[64], bin_path[512];
  snprintf(file, sizeof file, "topo/%s.onnx", name);
  if (!testdata_path(file, from, sizeof from) || !copy_file(from, out->path)) return false;
  snprintf(file, sizeof file, "topo/%s.weights.tsv", name);
  if (!testdata_path(file, from, sizeof from)) return false;
  snprintf(bin_path, sizeof bin_path, "%s/%s.bin", out->dir, name);
  FILE *table = fopen(from, "r"), *bin = fopen(bin_path, "wb");
  bool ok = table && bin && write_weights(name, table, bin, weights);
  if (table) fclose(table);
  if (bin) ok = fclose(bin) == 0 && ok;
  if (!ok) fprintf(stderr, "SKIPPED: cannot write the weights of %s to %s\n", name, bin_path);
  return ok;
}

bool topo_model_make(const char *name, bool weights, struct topo_model *out) {
  const char *tmp = getenv("TMPDIR");
  snprintf(out->dir, sizeof out->dir, "%.200s/braid-topo-XXXXXX", tmp && *tmp ? tmp : "/tmp");
  if (!mkdtemp(out->dir)) return false;
  snprintf(out->path, sizeof out->path, "%s/%.64s.onnx", out->dir, name);
  if (fill(name, weights, out)) return true;
  topo_model_remove(out);
  return false;
}

void topo_model_remove(struct topo_model *model) {
  char bin[520];
  snprintf(bin, sizeof bin, "%.*s.bin", (int)(strlen(model->path) - 5), model->path);
  unlink(bin);
  unlink(model->path);
  rmdir(model->dir);
}
