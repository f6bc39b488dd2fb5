// What a service says beside its scopes to those who choose among them: presets, jobs and workflows. Their shapes,
// and whether what they name exists.
import Type, { type Static } from 'typebox'
import { didYouMean } from '../http/nearest.ts'
import { fieldProblem } from '../http/problem.ts'
import { scopePattern } from '../policy/scopes.ts'
import type { Endpoint } from './endpoint.ts'

const closed = { additionalProperties: false } as const
const text = (most: number, description: string) =>
  Type.String({ minLength: 1, maxLength: most, format: 'text', description })
const id = (description: string) => Type.String({ pattern: '^[a-z][a-z0-9_-]{0,63}$', description })
const scopes = Type.Array(
  Type.String({ pattern: scopePattern, description: 'resource:action, lower case' }),
  {
    minItems: 1,
    maxItems: 50,
    uniqueItems: true,
    description: 'Declared by this or another service.',
  },
)
const values = (description: string) =>
  Type.Record(
    Type.String({ pattern: '^[A-Za-z0-9_.-]{1,64}$' }),
    Type.String({ maxLength: 300, format: 'text' }),
    {
      maxProperties: 20,
      additionalProperties: false,
      description,
    },
  )

const Preset = Type.Object(
  {
    id: id('a-z 0-9 _ -'),
    title: text(100, 'For people who create a token.'),
    scopes,
    expiresInDays: Type.Optional(Type.Integer({ minimum: 1, maximum: 3_650 })),
  },
  closed,
)
const Job = Type.Object(
  {
    job: text(200, 'What somebody wants to get done.'),
    scopes,
    workflow: Type.Optional(id('One of workflows.')),
  },
  closed,
)
const Step = Type.Object(
  {
    id: id('a-z 0-9 _ -'),
    endpoint: Type.String({
      pattern: '^[A-Za-z0-9_-]{1,128}$',
      description: 'operationId of a published endpoint, of this service unless `service` names another.',
    }),
    service: Type.Optional(Type.String({ pattern: '^[a-z][a-z0-9_-]{0,47}$', description: 'A service id.' })),
    save: Type.Optional(values('Name → runtime expression, as $response.body#/id.')),
    use: Type.Optional(values('Parameter → runtime expression, as $steps.create.outputs.id.')),
  },
  closed,
)
const Workflow = Type.Object(
  {
    id: id('a-z 0-9 _ -'),
    title: text(200, 'What it gets done.'),
    scopes,
    before: Type.Optional(text(1_000, 'What to do first.')),
    steps: Type.Array(Step, { minItems: 1, maxItems: 30 }),
    humanStep: Type.Optional(text(1_000, 'What only a person can do.')),
    success: Type.Optional(text(1_000, 'By what one knows that it worked.')),
  },
  closed,
)

export const guidanceShape = {
  presets: Type.Array(Preset, { maxItems: 50 }),
  jobs: Type.Array(Job, { maxItems: 200 }),
  workflows: Type.Array(Workflow, { maxItems: 50 }),
}

/** In answers, where it is not checked again. */
const shownAs = <T>(description: string) =>
  Type.Unsafe<T[]>({ type: 'array', items: { type: 'object', additionalProperties: true }, description })
export const guidanceShown = {
  presets: shownAs<Preset>('id, title, scopes, expiresInDays'),
  jobs: shownAs<Job>('job, scopes, workflow'),
  workflows: shownAs<ServiceWorkflow>('id, title, scopes, before, steps, humanStep, success'),
}

export type Preset = Static<typeof Preset>
export type Job = Static<typeof Job>
export type ServiceWorkflow = Static<typeof Workflow>
export type Guidance = {
  readonly service: string
  readonly presets: readonly Preset[]
  readonly jobs: readonly Job[]
  readonly workflows: readonly ServiceWorkflow[]
}

/** @param declared scopes of all services @throws Problem naming the first thing that does not exist */
export function refuseUnknown({ presets, jobs, workflows }: Guidance, declared: ReadonlySet<string>): void {
  const ids = workflows.map((workflow) => workflow.id)
  refuseRepeated(
    '/presets',
    presets.map((preset) => preset.id),
  )
  refuseRepeated(
    '/jobs',
    jobs.map((one) => one.job),
  )
  refuseRepeated('/workflows', ids)
  for (const [name, list] of Object.entries({ presets, jobs, workflows }))
    for (const [index, one] of list.entries())
      refuseUndeclared(`/${name}/${index}/scopes`, one.scopes, declared)
  for (const [index, { workflow }] of jobs.entries()) {
    if (workflow === undefined || ids.includes(workflow)) continue
    const detail = `"${workflow}" is not one of workflows.${didYouMean(workflow, ids)}`
    throw fieldProblem(`/jobs/${index}/workflow`, detail)
  }
  for (const [index, { steps }] of workflows.entries())
    refuseRepeated(
      `/workflows/${index}/steps`,
      steps.map((step) => step.id),
    )
}

function refuseUndeclared(pointer: string, names: readonly string[], declared: ReadonlySet<string>): void {
  const at = names.findIndex((name) => !declared.has(name))
  if (at < 0) return
  const detail = `No service declares the scope "${names[at]}".${didYouMean(names[at]!, declared)}`
  throw fieldProblem(`${pointer}/${at}`, detail, 'unknown-scope')
}

function refuseRepeated(pointer: string, names: readonly string[]): void {
  const at = names.findIndex((name, index) => names.indexOf(name) !== index)
  if (at >= 0) throw fieldProblem(`${pointer}/${at}`, `"${names[at]}" stands there twice.`)
}

export type BrokenStep = {
  readonly service: string
  readonly workflow: string
  readonly step: string
  readonly endpoint: string
}

/** Steps that name an endpoint which nobody has published, or which nobody is shown. */
export function brokenSteps(guidance: readonly Guidance[], endpoints: readonly Endpoint[]): BrokenStep[] {
  const known = new Set(endpoints.filter((one) => !one.hidden).map((one) => `${one.service} ${one.id}`))
  return guidance.flatMap(({ service, workflows }) =>
    workflows.flatMap(({ id: workflow, steps }) =>
      steps
        .filter((step) => !known.has(`${step.service ?? service} ${step.endpoint}`))
        .map((step) => ({ service, workflow, step: step.id, endpoint: step.endpoint })),
    ),
  )
}
