// SPDX-License-Identifier: Apache-2.0
// node ort_run.js MODEL.onnx DIR: runs the model by ONNX Runtime on pseudo-random uint8 pictures; writes DIR/in_NAME.npy and
// DIR/want_NAME.npy.
const fs = require('fs');
const path = require('path');
const ort = require('onnxruntime-node');

function npy(file, descr, dims, data) {
  const shape = dims.length === 1 ? `${dims[0]},` : dims.join(', ');
  let head = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }`;
  head = head.padEnd(Math.ceil((head.length + 11) / 64) * 64 - 11) + '\n';
  const prefix = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, head.length & 255, head.length >> 8]);
  fs.writeFileSync(file, Buffer.concat([prefix, Buffer.from(head, 'latin1'),
                                        Buffer.from(data.buffer, data.byteOffset, data.byteLength)]));
}

async function main() {
  const [model, dir] = process.argv.slice(2);
  const session = await ort.InferenceSession.create(model, {intraOpNumThreads: 1});
  const size = model_size(session);
  const feeds = {};
  session.inputNames.forEach((name, k) => {
    const dims = [1, 3, size, size];
    const data = new Uint8Array(3 * size * size);
    let state = 12345 + k; // a linear congruential generator (Numerical Recipes)
    for (let i = 0; i < data.length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      data[i] = state >>> 24;
    }
    feeds[name] = new ort.Tensor('uint8', data, dims);
    npy(path.join(dir, `in_${name}.npy`), '|u1', dims, data);
  });
  const results = await session.run(feeds);
  for (const name of session.outputNames) npy(path.join(dir, `want_${name}.npy`), '<f4', results[name].dims, results[name].data);
}

// Newer versions tell the inputs' shapes; older ones are asked through the file's name-independent metadata.
function model_size(session) {
  const meta = session.inputMetadata;
  const shape = Array.isArray(meta) ? meta[0].shape : undefined;
  if (!shape || !Number.isInteger(Number(shape[3]))) throw new Error('this onnxruntime-node does not tell the input shape');
  return Number(shape[3]);
}

main().catch((e) => { console.error(String(e)); process.exit(1); });
