// The examples in README.md and docs/ do what they say: every block that begins with ```sh run is run by bash as a
// reader would type it, page by page, against a Latchkey of the page's own.
//
//   # → text     the output of the commands above, since the last such line, has this text in it; … stands for anything
//
// The addresses in the pages are those of a first start; here they are replaced by where the Latchkey really is.
import { execFile } from 'node:child_process'
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { freePort, startProcess } from '../helpers/process.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))

/** Commands, and what their output must have in it. */
type Step = { readonly line: number; commands: string; readonly wanted: string[] }

const pages = (await pagesOf(root)).map((page) => ({ page, steps: stepsOf(page.text) }))

t.test('examples in the documentation', async (t) => {
  const folder = t.testdir()
  await firstStart(folder)
  for (const { page, steps } of pages.filter((one) => one.steps.length > 0)) {
    t.test(page.path, async (t) => {
      const cwd = join(folder, page.path.replaceAll('/', '_'))
      await cp(join(folder, 'first'), cwd, { recursive: true })
      const management = await freePort()
      const latchkey = await startProcess({ cwd, env: { LATCHKEY_MANAGEMENT_PORT: String(management) } })
      t.teardown(() => latchkey.stop())
      const here = (text: string) =>
        text
          .replaceAll('http://localhost:8080', latchkey.url)
          .replaceAll('http://localhost:9090', `http://127.0.0.1:${management}`)
      const outputs = await runSteps(cwd, steps, here)
      for (const [index, { line, wanted }] of steps.entries()) {
        const output = outputs[index]
        t.ok(output !== undefined, `line ${line} runs`, { outputs })
        for (const text of wanted) t.match(output, pattern(here(text)), `line ${line}: ${text}`)
      }
    })
  }
})

t.test('the pages have examples at all', async (t) => {
  t.ok(pages.find(({ page }) => page.path === 'README.md')!.steps.length > 0)
  t.ok(pages.filter(({ steps }) => steps.length > 0).length >= 4)
})

t.test('links between the pages lead somewhere', async (t) => {
  const paths = new Set(await readdir(root, { recursive: false }))
  for (const { page } of pages) {
    for (const [, target] of page.text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
      const path = new URL(target!, `file:///${page.path}`).pathname.slice(1)
      const exists = paths.has(path) || (await readFile(join(root, path)).then(() => true, isDirectory))
      t.ok(exists, `${page.path} → ${target}`)
    }
  }
})

const isDirectory = (error: NodeJS.ErrnoException) => error.code === 'EISDIR'

async function pagesOf(folder: string): Promise<{ path: string; text: string }[]> {
  const docs = (await readdir(join(folder, 'docs'), { recursive: true })).filter((name) =>
    name.endsWith('.md'),
  )
  const paths = [
    'README.md',
    'CONTRIBUTING.md',
    'src/README.md',
    ...docs.sort().map((name) => `docs/${name}`),
  ]
  return Promise.all(paths.map(async (path) => ({ path, text: await readFile(join(folder, path), 'utf8') })))
}

function stepsOf(page: string): Step[] {
  const steps: Step[] = []
  let inBlock = false
  for (const [index, text] of page.split('\n').entries()) {
    if (/^```/.test(text)) inBlock = text === '```sh run'
    else if (inBlock) readLine(text, index + 1, steps)
  }
  return steps
}

function readLine(text: string, line: number, steps: Step[]): void {
  const wanted = /^# → (.+)$/.exec(text)?.[1]
  const last = steps.at(-1)
  if (wanted !== undefined) last!.wanted.push(wanted)
  else if (last && last.wanted.length === 0) last.commands += `\n${text}`
  else steps.push({ line, commands: text, wanted: [] })
}

/** In one shell, so that variables live on. @returns the output of each step, up to the one that failed */
async function runSteps(
  cwd: string,
  steps: readonly Step[],
  here: (text: string) => string,
): Promise<string[]> {
  await mkdir(join(cwd, 'out'))
  const script = steps.map(({ commands }, index) => {
    return `{\n${here(commands)}\n:\n} > out/${index} 2>&1\nmv out/${index} out/${index}.done`
  })
  await writeFile(join(cwd, 'page.sh'), `set -euo pipefail\n${script.join('\n')}\n`)
  const env = { PATH: `${await ownCommand(cwd)}:${process.env['PATH']}`, HOME: cwd }
  await run('bash', ['page.sh'], { cwd, env, timeout: 180_000 }).catch(() => {})
  const outputs: string[] = []
  for (const index of steps.keys()) {
    const output = await readFile(join(cwd, `out/${index}.done`), 'utf8').catch(() => undefined)
    if (output === undefined) break
    outputs.push(output)
  }
  return outputs
}

/** `latchkey`, as `npm install --global` would put it on the path. @returns the folder it is in */
async function ownCommand(cwd: string): Promise<string> {
  const folder = join(cwd, 'bin')
  await mkdir(folder)
  await symlink(join(root, 'bin/latchkey.js'), join(folder, 'latchkey'))
  return folder
}

function pattern(text: string): RegExp {
  return new RegExp(
    text
      .split('…')
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('[\\s\\S]*'),
  )
}

/** Making a store takes seconds, so it is made once and each page gets a copy. */
async function firstStart(folder: string): Promise<void> {
  const cwd = join(folder, 'first')
  await mkdir(cwd)
  const latchkey = await startProcess({ cwd })
  await latchkey.stop()
}
