// Makes plain JavaScript of src and replica.ts as they are now: a replica then starts in a second of its own, where
// tsx takes three, and nobody's half-finished edit gets between two starts of one run. Types are not checked here.
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('../../', import.meta.url))

export type Build = { readonly entry: string; remove(): Promise<void> }

const compilerOptions: ts.CompilerOptions = {
  module: ts.ModuleKind.ESNext,
  target: ts.ScriptTarget.ES2022,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
}

export async function buildReplica(): Promise<Build> {
  await mkdir(join(root, '.tap'), { recursive: true })
  const folder = await mkdtemp(join(root, '.tap', 'faults-'))
  const listed = await readdir(join(root, 'src'), { recursive: true })
  const files = [...listed.filter((name) => name.endsWith('.ts')).map((name) => join('src', name))]
  for (const file of [...files, 'test/faults/replica.ts']) {
    const source = await readFile(join(root, file), 'utf8')
    const target = join(folder, file.replace(/\.ts$/, '.js'))
    await mkdir(dirname(target), { recursive: true })
    await writeFile(target, ts.transpileModule(source, { compilerOptions, fileName: file }).outputText)
  }
  // Read at run time, by their place relative to src.
  for (const name of ['migrations', 'package.json']) {
    await symlink(join(root, name), join(folder, name)).catch(() => {})
  }
  return {
    entry: join(folder, 'test/faults/replica.js'),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
