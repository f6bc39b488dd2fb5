// Compiles a TypeScript module when Node loads it, and keeps what came out: compiling takes longer than most tests do, and all
// test files need the same modules.
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../../.tap/typescript/', import.meta.url))
await mkdir(folder, { recursive: true })

const noDomains = new URL('no-domains.mjs', import.meta.url).href

/** A hook of Node's: https://nodejs.org/api/module.html#resolvespecifier-context-nextresolve */
export async function resolve(specifier, context, nextResolve) {
  return nextResolve(specifier === 'async-hook-domain' ? noDomains : specifier, context)
}

/** Another: https://nodejs.org/api/module.html#loadurl-context-nextload */
export async function load(url, context, nextLoad) {
  const { format } = context
  // Not by way of tap's own hook, which has each module sent about, to tell later how much of it was covered.
  if (format === 'commonjs' || format === 'builtin') return { format, source: null, shortCircuit: true }
  if (format === 'module' && url.startsWith('file:'))
    return { format, source: await readFile(fileURLToPath(url)), shortCircuit: true }
  if (!url.endsWith('.ts')) return nextLoad(url, context)
  const source = await readFile(fileURLToPath(url), 'utf8')
  const file = folder + hashOf(url)
  const stamp = `\n//${hashOf(source)}`
  const kept = await readFile(file, 'utf8').catch(() => '')
  const code = kept.endsWith(stamp) ? kept : (await compiled(source, url)) + stamp
  if (code !== kept) await keep(file, code)
  return { format: 'module', source: code, shortCircuit: true }
}

const hashOf = (text) => createHash('sha256').update(text).digest('base64url')

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

/** Several processes, and threads of one, may be at it. */
async function keep(file, code) {
  const unfinished = `${file}.${randomUUID()}`
  await writeFile(unfinished, code)
  await rename(unfinished, file)
}
