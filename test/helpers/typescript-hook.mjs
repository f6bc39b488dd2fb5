// Makes what a test loads quick to load, and keeps it: a TypeScript module is compiled, and a package of hundreds of modules is made
// one. That takes longer than most tests do, and all test files need the same.
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../../.tap/typescript/', import.meta.url))
await mkdir(folder, { recursive: true })

const noDomains = new URL('no-domains.mjs', import.meta.url).href
/** Imported by their names alone, so each is there once, whoever asks for it. */
const madeOne = new Set(['kysely', 'typebox'])

/** A hook of Node's: https://nodejs.org/api/module.html#resolvespecifier-context-nextresolve */
export async function resolve(specifier, context, nextResolve) {
  if (specifier === 'async-hook-domain') return { url: noDomains, format: 'module', shortCircuit: true }
  const found = await nextResolve(specifier, context)
  return madeOne.has(specifier) ? { ...found, url: `${found.url}?one` } : found
}

/** Another: https://nodejs.org/api/module.html#loadurl-context-nextload */
export async function load(url, context, nextLoad) {
  const { format } = context
  // Not by way of tap's own hook, which has each module sent about, to tell later how much of it was covered.
  if (format === 'commonjs' || format === 'builtin') return { format, source: null, shortCircuit: true }
  if (!url.startsWith('file:')) return nextLoad(url, context)
  const code = await codeOf(url, format)
  return code === null ? nextLoad(url, context) : { format: 'module', source: code, shortCircuit: true }
}

/** null: it is not known how to make code of it. */
async function codeOf(url, format) {
  if (url.endsWith('?one')) return kept(url, await lock(), () => asOne(fileURLToPath(url)))
  if (url.endsWith('.ts')) {
    const source = await readFile(fileURLToPath(url), 'utf8')
    return kept(url, source, () => compiled(source, url))
  }
  return format === 'module' ? withoutMap(await readFile(fileURLToPath(url), 'utf8')) : null
}

/** Says which version of each package there is. */
const lock = () => readFile(new URL('../../package-lock.json', import.meta.url), 'utf8')

async function asOne(file) {
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    entryPoints: [file],
    bundle: true,
    format: 'esm',
    platform: 'node',
    write: false,
  })
  return outputFiles[0].text
}

async function compiled(source, url) {
  const { default: ts } = await import('typescript')
  const compilerOptions = {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2022,
    verbatimModuleSyntax: true,
    inlineSourceMap: true,
  }
  return ts.transpileModule(source, { fileName: url, compilerOptions }).outputText
}

/** Node would read the maps of all packages at once, and nobody looks for errors in there. A map is named on the last line. */
const withoutMap = (code) => code.replace(/\n\/\/# sourceMappingURL=\S*\s*$/, '')

/** @param from of which the code is made: while that is the same, it is not made again */
async function kept(url, from, make) {
  const file = folder + hashOf(url)
  const stamp = `\n//${hashOf(from)}`
  const there = await readFile(file, 'utf8').catch(() => '')
  if (there.endsWith(stamp)) return there
  const code = (await make()) + stamp
  await keep(file, code)
  return code
}

const hashOf = (text) => createHash('sha256').update(text).digest('base64url')

/** Several processes, and threads of one, may be at it. */
async function keep(file, code) {
  const unfinished = `${file}.${randomUUID()}`
  await writeFile(unfinished, code)
  await rename(unfinished, file)
}
