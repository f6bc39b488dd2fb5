// One step of a workflow, in Arazzo's words: where each value goes, what is sent, and by what one knows that it worked.
// What the workflow leaves open becomes an input. Pure.
import type { Endpoint } from '../endpoint.ts'
import type { Workflow } from '../shown.ts'
import { fieldsOf, isObject, openFields, placeOf } from './arazzo-fields.ts'

/** Of the whole workflow, by name. */
export type Inputs = Map<string, object>
type Step = Workflow['steps'][number]

/** @param inputs gets what a runner must be given for this step */
export function stepOf(step: Step, endpoint: Endpoint, scopes: readonly string[], inputs: Inputs) {
  const use = new Map(Object.entries(step.use ?? {}))
  const fields = fieldsOf(endpoint)
  if (endpoint.auth.pat && !bringsCredentials(use)) {
    use.set('Authorization', 'Bearer {$inputs.token}')
    inputs.set('token', tokenInput(scopes))
  }
  for (const name of openFields(endpoint, fields, use)) use.set(name, `$inputs.${step.id}_${name}`)
  for (const [name, value] of use) declareInput(value, fields.get(name)?.hint, endpoint, inputs)
  const placed = [...use].map(([name, value]) => ({ name, value, in: placeOf(name, fields, endpoint) }))
  const parameters = placed.filter((one) => one.in !== 'body')
  const body = bodyOf(
    endpoint,
    placed.filter((one) => one.in === 'body'),
  )
  const outputs = Object.fromEntries(savedBy(step))
  return {
    stepId: step.id,
    description: endpoint.summary || endpoint.id,
    operationId: `$sourceDescriptions.${endpoint.service}.${endpoint.id}`,
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: body }),
    successCriteria: criteriaOf(step),
    ...(Object.keys(outputs).length > 0 && { outputs }),
  }
}

/** For the workflow's outputs; what a later step saves under the same name wins. */
export const outputsOf = (step: Step): [string, string][] =>
  savedBy(step).map(([name]) => [name, `$steps.${step.id}.outputs.${name}`])

/** A person typed these; what is no runtime expression of Arazzo (§4.7) would make the whole document invalid. */
const savedBy = ({ save = {} }: Step): [string, string][] =>
  Object.entries(save).filter(([, value]) =>
    /^\$(statusCode|response\.(body(#\/\S*)?|header\.[\w-]+))$/.test(value),
  )

/** Two credentials at once are refused (RFC 6749 §2.3). */
const bringsCredentials = (use: ReadonlyMap<string, string>) =>
  ['Authorization', 'authorization', 'client_id'].some((name) => use.has(name))

const tokenInput = (scopes: readonly string[]) => ({
  type: 'string',
  format: 'password',
  description: `A token that has ${scopes.join(', ') || 'no scope in particular'}.`,
})

function declareInput(value: string, hint: string | undefined, endpoint: Endpoint, inputs: Inputs): void {
  const name = /^\$inputs\.([A-Za-z0-9_-]+)$/.exec(value)?.[1]
  if (name === undefined || inputs.has(name)) return
  const kind = /^(?:required, )?(string|integer|number|boolean|array|object)\b(?! or)/.exec(hint ?? '')?.[1]
  const about = [`For ${endpoint.id}`, hint?.replace(/^required, |\.$/g, '')].filter(Boolean).join(': ')
  inputs.set(name, { ...(kind && { type: kind }), description: `${about}.` })
}

/** The step's own values and what else is required, from the example. All of the example where nothing is. */
function bodyOf({ request }: Endpoint, given: readonly { name: string; value: string }[]) {
  const { contentType, example, hint = {} } = request ?? {}
  if (contentType === undefined) return null
  const required = Object.entries(isObject(example) ? example : {}).filter(([name]) =>
    hint[name]?.startsWith('required, '),
  )
  const own = given.map(({ name, value }): [string, unknown] => [name, value])
  const chosen = Object.fromEntries([...required, ...own])
  const payload = Object.keys(chosen).length > 0 ? chosen : example
  return payload === undefined ? null : { contentType, payload }
}

function criteriaOf(step: Step) {
  const present = savedBy(step).filter(([, value]) => value.startsWith('$response.body#'))
  return [
    { condition: '$statusCode >= 200' },
    { condition: '$statusCode < 300' },
    // What the next steps rely on; without it they would ask for the thing called "undefined".
    ...present.map(([, value]) => ({ condition: `${value} != null` })),
  ]
}
