// What of all that is published a viewer gets to see: endpoints, and the workflows and jobs that lead to them. Pure.

import { ownServiceId } from '../identity/own-scopes.ts'
import type { Endpoint } from './endpoint.ts'
import { isForAdmins } from './endpoint.ts'
import type { Guidance, ServiceWorkflow } from './guidance.ts'
import type { Snapshot } from './live.ts'
import { smallestSet } from './smallest.ts'
import { ownWorkflows } from './workflows.ts'

export type Workflow = Omit<ServiceWorkflow, 'steps'> & {
  readonly service: string
  readonly steps: readonly (ServiceWorkflow['steps'][number] & { readonly service: string })[]
}
export type JobEntry = {
  readonly job: string
  readonly service: string
  readonly scopes: readonly string[]
  readonly workflow?: string
  /** Those that name the job themselves, and those of its workflow. */
  readonly endpoints?: readonly string[]
}

export type Shown = {
  readonly endpoints: readonly Endpoint[]
  readonly workflows: readonly Workflow[]
  readonly jobs: readonly JobEntry[]
}

/** @param ownEndpoints Latchkey's own */
export function shownTo(toAdmin: boolean, snapshot: Snapshot, ownEndpoints: readonly Endpoint[]): Shown {
  const all = [...ownEndpoints, ...snapshot.services.flatMap((service) => service.endpoints)]
  const endpoints = all.filter((one) => !one.hidden && (toAdmin || !isForAdmins(one)))
  const keys = new Set(endpoints.map(keyOf))
  const workflows = [ownGuidance, ...snapshot.guidance]
    .flatMap(workflowsOf)
    .filter(({ steps }) => steps.every((step) => keys.has(`${step.service} ${step.endpoint}`)))
  return { endpoints, workflows, jobs: jobsOf(snapshot, endpoints, workflows) }
}

const keyOf = ({ service, id }: Endpoint): string => `${service} ${id}`

const ownGuidance: Guidance = {
  service: ownServiceId,
  presets: [],
  jobs: ownWorkflows.map(({ id, title, scopes }) => ({ job: title, scopes: [...scopes], workflow: id })),
  workflows: ownWorkflows as unknown as ServiceWorkflow[],
}

function workflowsOf({ service, workflows }: Guidance): Workflow[] {
  return workflows.map(({ steps, ...rest }) => ({
    ...rest,
    service,
    steps: steps.map((step) => ({ ...step, service: step.service ?? service })),
  }))
}

function jobsOf(
  { guidance, scopes }: Snapshot,
  endpoints: readonly Endpoint[],
  workflows: readonly Workflow[],
): JobEntry[] {
  const naming = new Map<string, Endpoint[]>()
  for (const endpoint of endpoints)
    for (const job of endpoint.jobs ?? []) naming.set(job, [...(naming.get(job) ?? []), endpoint])
  const declared = [ownGuidance, ...guidance].flatMap(({ service, jobs }) =>
    jobs.map(({ job, scopes: needed, workflow: id }): JobEntry => {
      const workflow = workflows.find((one) => one.service === service && one.id === id)
      const steps = workflow?.steps.map((step) => `${step.service} ${step.endpoint}`) ?? []
      const keys = [...new Set([...steps, ...(naming.get(job) ?? []).map(keyOf)])]
      const leading = keys.map((key) => key.split(' ')[1]!)
      return {
        job,
        service,
        scopes: needed,
        ...(workflow && { workflow: workflow.id }),
        ...(keys.length > 0 && { endpoints: leading }),
      }
    }),
  )
  const known = new Set(declared.map((one) => one.job))
  const undeclared = [...naming].filter(([job]) => !known.has(job))
  return [
    ...declared,
    ...undeclared.map(([job, list]) => {
      const needed = smallestSet(
        list.flatMap((one) => one.auth.scopes),
        scopes,
      )
      return { job, service: list[0]!.service, scopes: needed, endpoints: list.map((one) => one.id) }
    }),
  ]
}
