// The test files of a folder in one process, one after another: to begin a process, with all that a Latchkey loads, takes
// longer than most files do. Each can be run alone as well.
import { readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import t from 'tap'

/** @param all URL of the file that asks; every `*.test.ts` beside it is run, in the order of their names */
export async function together(all: string): Promise<void> {
  const asking = fileURLToPath(all)
  const folder = dirname(asking)
  const files = readdirSync(folder).filter((name) => name.endsWith('.test.ts') && name !== basename(asking))
  // tap is content with what was tested so far, however the process ends.
  process.on('exit', (code) => {
    if (files.length > 0) process.exitCode = code || 1
  })
  // At the end of the file, not of the process. And tap ends the process by itself where there is one, between two files if need be.
  const undo: (() => unknown)[] = []
  Object.assign(t, { teardown: (step: () => unknown) => undo.push(step) })
  files.sort()
  for (let name = files[0]; name !== undefined; name = files[0]) {
    await import(pathToFileURL(join(folder, name)).href)
    // Behind all that the file has asked tap to test.
    await t.test(`${basename(folder)}/${name} has ended`, { buffered: false }, async (t) => {
      for (const step of undo.splice(0).reverse()) await step()
      t.pass()
    })
    files.shift()
  }
}
