// Compiles test/*.test.ts and runs them with Node's own test runner.
import { spawnSync } from 'node:child_process';
import { readdir, rm } from 'node:fs/promises';
import { build } from 'esbuild';

const tests = new URL('../test/', import.meta.url);
const out = new URL('../node_modules/.cache/teiten-tests/', import.meta.url);

const names = (await readdir(tests)).filter((name) => name.endsWith('.test.ts')).sort();
await rm(out, { recursive: true, force: true });
await build({
  entryPoints: names.map((name) => new URL(name, tests).pathname),
  outdir: out.pathname,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node18',
  sourcemap: 'inline',
});
const files = names.map((name) => new URL(name.replace(/\.ts$/, '.mjs'), out).pathname);
// Most of them wait for something: more of them at once than there are processors.
const { status } = spawnSync(process.execPath, ['--enable-source-maps', '--test', '--test-concurrency=8', ...files], { stdio: 'inherit' });
process.exit(status ?? 1);
