// What the pages about the ready pieces show is what the pieces take: inputs, outputs, variables, files.
import { access, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'
import { action } from '../helpers/github.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const pages = [
  'integrations/README.md',
  'integrations/github-action/README.md',
  'integrations/gitlab/README.md',
  'integrations/kubernetes/README.md',
  'examples/ci/README.md',
  'docs/automate/ci.md',
]
const read = (path: string) => readFile(join(root, path), 'utf8')
const all = await Promise.all(pages.map(async (path) => ({ path, text: await read(path) })))

/** `!reference` is GitLab's own. */
const yamlIn = (text: string) =>
  [...text.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, block]) => parse(block!, { logLevel: 'silent' }))

type Step = { uses?: string; with?: Record<string, string> }

t.test('links lead somewhere', async (t) => {
  for (const { path, text } of all)
    for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g))
      await t.resolves(access(join(root, dirname(path), target!)), `${path} → ${target}`)
})

t.test('workflows give the action what it takes, and use what it gives', async (t) => {
  let uses = 0
  for (const { path, text } of all) {
    for (const { jobs = {} } of yamlIn(text)) {
      const steps = Object.values(jobs as Record<string, { steps: Step[] }>).flatMap((job) => job.steps)
      for (const step of steps.filter((one) => one.uses?.includes('integrations/github-action'))) {
        uses += 1
        for (const name of Object.keys(step.with!)) t.ok(name in action.inputs, `${path}: ${name}`)
      }
    }
    for (const [, output] of text.matchAll(/steps\.latchkey\.outputs\.([\w-]+)/g))
      t.ok(output! in action.outputs, `${path}: ${output}`)
  }
  t.equal(uses, 2)
  const page = await read('integrations/github-action/README.md')
  for (const name of [...Object.keys(action.inputs), ...Object.keys(action.outputs)])
    t.match(page, `| \`${name}\` |`, `${name} is described`)
})

t.test('GitLab jobs extend what is in the template', async (t) => {
  const template = await read('integrations/gitlab/latchkey.gitlab-ci.yml')
  for (const { path, text } of all)
    for (const { publish } of yamlIn(text).filter((one) => 'publish' in one))
      t.ok(publish.extends in parse(template), path)
})

t.test(
  'every variable that a page names is one that its scripts read, and the other way round',
  async (t) => {
    for (const [page, script] of [
      ['integrations/gitlab/README.md', 'integrations/gitlab/latchkey.gitlab-ci.yml'],
      ['integrations/kubernetes/README.md', 'integrations/kubernetes/token.sh'],
      ['examples/ci/README.md', 'examples/ci/job.sh'],
    ] as const) {
      const named = (text: string) =>
        [...new Set(text.match(/\bLATCHKEY_[A-Z_]+\b/g))]
          .filter((name) => name !== 'LATCHKEY_INTERNAL_ISSUERS')
          .sort()
      t.strictSame(named(await read(page)), named(await read(script)), page)
    }
  },
)
