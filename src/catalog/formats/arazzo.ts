// The catalog's workflows as an Arazzo 1.0.1 document, for runners: those that a script with a token can walk through
// from end to end. Pure.
import type { Endpoint } from '../endpoint.ts'
import { freeName } from '../merging/components.ts'
import type { Site } from '../render.ts'
import type { Shown, Workflow } from '../shown.ts'
import { type Inputs, outputsOf, stepOf } from './arazzo-step.ts'

export function arazzoDocument({ issuer, version }: Site, { endpoints, workflows }: Shown) {
  const byKey = new Map(endpoints.map((one) => [`${one.service} ${one.id}`, one]))
  const runnable = workflows.flatMap((workflow) => {
    const steps = workflow.steps.map((step) => byKey.get(`${step.service} ${step.endpoint}`)!)
    return steps.every(isForScripts) ? [{ workflow, endpoints: steps }] : []
  })
  const services = [...new Set(runnable.flatMap((one) => one.endpoints.map((step) => step.service)))]
  const ids = workflowIds(runnable.map((one) => one.workflow))
  return {
    arazzo: '1.0.1',
    info: {
      title: 'Workflows',
      version,
      summary: 'What the published APIs are used for, step by step.',
      description: `Made from the catalog at ${issuer}/api/programmatic/catalog. Workflows with a step that needs a person in a browser are in the catalog only.`,
    },
    sourceDescriptions: services.map((name) => ({
      name,
      type: 'openapi',
      url: `${issuer}/api/programmatic/openapi/${name}.json`,
    })),
    workflows: runnable.map((one, index) => workflowOf(ids[index]!, one.workflow, one.endpoints)),
  }
}

const isForScripts = ({ access, auth }: Endpoint) => access === 'public' || auth.pat || auth.clientCredentials

/** They are unique within a service only. Of two that share one both are renamed: who meant one must not run the other. */
function workflowIds(workflows: readonly Workflow[]): string[] {
  const isShared = (id: string) => workflows.filter((one) => one.id === id).length > 1
  const taken = new Set<string>()
  return workflows.map(({ id, service }) => {
    const free = freeName(isShared(id) ? `${service}_${id}` : id, service, (one) => taken.has(one))
    taken.add(free)
    return free
  })
}

function workflowOf(workflowId: string, workflow: Workflow, endpoints: readonly Endpoint[]) {
  const { service, title, scopes, before, success, humanStep } = workflow
  const inputs: Inputs = new Map()
  const steps = workflow.steps.map((step, index) => stepOf(step, endpoints[index]!, scopes, inputs))
  const outputs = Object.fromEntries(workflow.steps.flatMap(outputsOf))
  const description = [
    before && `Before: ${before}`,
    success && `It worked if ${success}.`,
    humanStep && `Then, a person: ${humanStep}`,
  ].filter(Boolean)
  return {
    workflowId,
    summary: title,
    ...(description.length > 0 && { description: description.join('\n\n') }),
    'x-latchkey': { service, scopes },
    ...(inputs.size > 0 && {
      inputs: { type: 'object', properties: Object.fromEntries(inputs), required: [...inputs.keys()] },
    }),
    steps,
    ...(Object.keys(outputs).length > 0 && { outputs }),
  }
}
