// Compiles a TypeScript module when Node loads it, and keeps what came out: compiling takes longer than most tests do, and all
// test files need the same modules.
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../../.tap/typescript/', import.meta.url))
await mkdir(folder, { recursive: true })

/** A hook of Node's: https://nodejs.org/api/module.html#loadurl-context-nextload */
export async function load(url, context, nextLoad) {
  if (!url.endsWith('.ts')) return nextLoad(url, context)
  const source = await readFile(fileURLToPath(url), 'utf8')
  const file = folder + createHash('sha256').update(url).update(source).digest('base64url')
  const code = await readFile(file, 'utf8').catch(() => compile(source, url, file))
  return { format: 'module', source: code, shortCircuit: true }
}

async function compile(source, url, file) {
  const { default: ts } = await import('typescript')
  const { outputText } = ts.transpileModule(source, {
    fileName: url,
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2022,
      verbatimModuleSyntax: true,
      inlineSourceMap: true,
    },
  })
  // Several processes may be at it.
  const unfinished = `${file}.${process.pid}`
  await writeFile(unfinished, outputText)
  await rename(unfinished, file)
  return outputText
}
