// Steps for what services declare: groups, scopes, presets, jobs, workflows. The API takes all of a service at once, so
// what the file leaves out is sent along as it is; an item that it has is as the file says, whole.
import { pathOf } from '../admin/service/view.ts'
import type { Tools } from './plan.ts'
import { type Change, isSame, type Step } from './step.ts'
import {
  type Declared,
  type Fields,
  type Guide,
  keys,
  lists,
  type Scope,
  type Wanted,
  type WantedService,
} from './wanted.ts'

export async function declaredSteps({ services = [] }: Wanted, tools: Tools): Promise<Step[]> {
  const declaring = services.filter((service) => lists.some((list) => service[list]))
  const known = new Set(tools.catalog.scopes.keys())
  const [first, last]: [Step[], Step[]] = [[], []]
  for (const service of declaring) {
    const was = await presentOf(service.id, tools)
    const is = desired(was, service, tools.prune)
    for (const { name } of is.scopes) known.add(name)
    // What speaks of scopes that a service further down declares has to wait for it.
    const early = readyIn(is, known)
    first.push(declare(service.id, was, early, tools))
    if (!isSame(early, is)) last.push(declare(service.id, early, is, tools))
  }
  return [...first, ...last]
}

const nothing: Declared = { groups: [], scopes: [], presets: [], jobs: [], workflows: [] }

/** Without what is not set, as a file would have it. */
async function presentOf(id: string, { client, catalog }: Tools): Promise<Declared> {
  if (!catalog.services.has(id)) return nothing
  const { body } = await client.call<Declared>('GET', pathOf(id, '/scopes'))
  const scopes = body.scopes.map((scope) => withoutNulls(scope) as Scope)
  return { ...nothing, ...pick(body), scopes }
}

const pick = (from: Partial<Declared>): Partial<Declared> =>
  Object.fromEntries(lists.flatMap((list) => (from[list] ? [[list, from[list]]] : [])))
const withoutNulls = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))

/** Said by the API of a scope whose declaration does not say it. */
const usual = { risk: 'medium', implies: [] } as const

function desired(was: Declared, wanted: WantedService, prune: boolean): Declared {
  const stated = {
    ...pick(wanted),
    ...(wanted.scopes && { scopes: wanted.scopes.map((one) => ({ ...usual, ...one })) }),
  }
  if (prune) return { ...was, ...stated }
  const merged = lists.map((list) => {
    const inFile: readonly Fields[] = stated[list] ?? []
    const isInFile = (item: Fields) => inFile.some((one) => one[keys[list]] === item[keys[list]])
    return [list, [...inFile, ...was[list].filter((item) => !isInFile(item))]]
  })
  return Object.fromEntries(merged)
}

function readyIn(declared: Declared, known: ReadonlySet<string>): Declared {
  const isReady = ({ scopes }: Guide) => scopes.every((scope) => known.has(scope))
  const workflows = declared.workflows.filter(isReady)
  const has = (id: string | undefined) => id === undefined || workflows.some((one) => one['id'] === id)
  const jobs = declared.jobs.filter((job) => isReady(job) && has(job.workflow))
  return { ...declared, workflows, jobs, presets: declared.presets.filter(isReady) }
}

function declare(id: string, was: Declared, is: Declared, { client }: Tools): Step {
  const changes = lists.flatMap((list) => changesIn(list, was[list], is[list]))
  const isNew = lists.every((list) => was[list].length === 0)
  return {
    action: changes.length === 0 ? 'keep' : isNew ? 'create' : 'change',
    kind: 'scopes',
    name: id,
    subject: null,
    id,
    changes,
    secret: null,
    run: async () => {
      const { body } = await client.call<Told>('PUT', pathOf(id, '/scopes'), { body: is })
      return { id, notes: notesOf(id, body) }
    },
  }
}

/** Of each item that differs; null: it is not there. Their order is no difference. */
function changesIn(list: keyof Declared, was: readonly Fields[], is: readonly Fields[]): Change[] {
  const key = keys[list]
  const names = new Set([...is, ...was].map((item) => String(item[key])))
  const named = (items: readonly Fields[], name: string) => items.find((item) => item[key] === name) ?? null
  return [...names]
    .map((name) => ({ field: `${list} ${name}`, from: named(was, name), to: named(is, name) }))
    .filter(({ from, to }) => !isSame(from, to))
}

type Told = {
  readonly scopesStillHeld: readonly { readonly scope: string; readonly liveTokens: number }[]
  readonly brokenWorkflows: readonly {
    readonly workflow: string
    readonly step: string
    readonly endpoint: string
  }[]
}

const notesOf = (id: string, { scopesStillHeld, brokenWorkflows }: Told): string[] => [
  ...scopesStillHeld.map(
    ({ scope, liveTokens }) =>
      `${scope} is declared no more, and gives nothing to the ${liveTokens} tokens that hold it.`,
  ),
  ...brokenWorkflows.map(
    ({ workflow, step, endpoint }) =>
      `The workflow ${workflow} of ${id} is not shown until the endpoint ${endpoint} of its step ${step} is published.`,
  ),
]
