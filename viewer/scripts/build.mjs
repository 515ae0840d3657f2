// Builds dist/: the page, its script, hls.js and its style sheet, ready to be put into the bucket as they are.
import { cp, mkdir, rm, stat } from 'node:fs/promises';
import { build } from 'esbuild';

const dist = new URL('../dist/', import.meta.url);
const src = new URL('../src/', import.meta.url);

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
await build({
  entryPoints: { viewer: new URL('main.ts', src).pathname, hls: new URL('hls.ts', src).pathname, style: new URL('style.css', src).pathname },
  outdir: dist.pathname,
  bundle: true,
  splitting: true,
  format: 'esm',
  target: ['chrome100', 'firefox100', 'safari15'],
  minify: true,
});
await cp(new URL('index.html', src), new URL('index.html', dist));
// Its licence asks to go with it.
await cp(new URL('../node_modules/hls.js/LICENSE', import.meta.url), new URL('hls.js-licence.txt', dist));
for (const name of ['index.html', 'viewer.js', 'hls.js', 'style.css']) {
  const { size } = await stat(new URL(name, dist));
  console.log(`dist/${name} ${(size / 1024).toFixed(1)} KiB`);
}
