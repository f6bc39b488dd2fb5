// The service `billing`, and its routes about plans, invoices, checkout links, payouts and transfers. In memory, too.
import type { FastifyInstance } from 'fastify'
import { refuse } from './problem.ts'
import { conflict, empty, list, notFound, object, text } from './schemas.ts'
import { billingScopes } from './scopes.ts'
import { createService, type ServiceOptions } from './service.ts'
import { paymentEvents } from './webhook.ts'

type NewLink = { readonly what: string; readonly amount: number; readonly currency: string }
export type Link = NewLink & { readonly id: string; readonly url: string; readonly paid: boolean }
type Transfer = { readonly to: string; readonly amount: number }

/** @param signingSecret of the payment provider's events; undefined: none are taken */
export function createBilling(
  options: ServiceOptions,
  signingSecret: string | undefined,
): Promise<FastifyInstance> {
  const links = new Map<string, Link>()
  const routes = [planRoutes, (app: FastifyInstance) => checkoutRoutes(app, links), moneyRoutes]
  const events = (app: FastifyInstance) => paymentEvents(app, { links, signingSecret })
  return createService(
    { id: 'billing', title: 'Billing', scopes: billingScopes, routes: [...routes, events] },
    options,
  )
}

const plans = ['free', 'paid'] as const
const amount = { type: 'integer', minimum: 1, examples: [1900], description: 'in cents' } as const

async function planRoutes(app: FastifyInstance): Promise<void> {
  let present: (typeof plans)[number] = 'free'
  const plan = object({ plan: { enum: plans } })

  app.get('/v1/plans', {
    config: { auth: 'public' },
    schema: { operationId: 'listPlans', summary: 'List plans', response: { 200: list({ enum: plans }) } },
    handler: async () => plans,
  })

  app.put<{ Body: { plan: typeof present } }>('/v1/plan', {
    config: {
      auth: { access: 'both', scopes: ['billing:manage'], jobs: ['Change plan and payment method'] },
    },
    schema: { operationId: 'changePlan', summary: 'Change the plan', body: plan, response: { 200: plan } },
    handler: async ({ body }) => {
      present = body.plan
      return { plan: present }
    },
  })

  app.get('/v1/invoices', {
    config: { auth: { access: 'both', scopes: ['billing:read'], jobs: ['Read invoices'] } },
    schema: {
      operationId: 'listInvoices',
      summary: 'List invoices',
      response: { 200: list(object({ id: text(40, 'inv_1'), amount })) },
    },
    handler: async () => [{ id: 'inv_1', amount: 1900 }],
  })
}

async function checkoutRoutes(app: FastifyInstance, links: Map<string, Link>): Promise<void> {
  const newLink = object({ what: text(120, 'A post'), amount, currency: { enum: ['EUR', 'USD'] } })
  const link = object({
    id: text(40, 'link_1'),
    url: text(300, 'https://pay.example.com/link_1'),
    paid: { type: 'boolean' },
    ...newLink.properties,
  })
  const jobs = ['Create checkout links']

  app.post<{ Body: NewLink }>('/v1/checkout-links', {
    config: {
      auth: {
        scopes: ['billing:checkout'],
        effects: { destructive: false },
        jobs,
        note: 'Paying happens in a browser; a script creates the link and asks for it again.',
      },
    },
    schema: {
      operationId: 'createCheckoutLink',
      summary: 'Create a hosted checkout link',
      body: newLink,
      response: { 201: link },
    },
    handler: async ({ body }, reply) => {
      const id = `link_${links.size + 1}`
      const made = { id, url: `https://pay.example.com/${id}`, paid: false, ...body }
      links.set(id, made)
      reply.code(201)
      return made
    },
  })

  app.get<{ Params: { linkId: string } }>('/v1/checkout-links/:linkId', {
    config: { auth: { scopes: ['billing:checkout'], jobs, errors: ['not-found'] } },
    schema: {
      operationId: 'readCheckoutLink',
      summary: 'Has it been paid?',
      params: object({ linkId: text(40, 'link_1') }),
      response: { 200: link, ...notFound },
    },
    handler: async ({ params: { linkId } }, reply) =>
      links.get(linkId) ?? refuse(reply, 404, 'No such link', `There is no checkout link ${linkId}.`),
  })
}

async function moneyRoutes(app: FastifyInstance): Promise<void> {
  let balance = 10_000
  const transfers: Transfer[] = []
  const transfer = object({ to: text(100, 'acct_7'), amount })

  app.get('/v1/balance', {
    config: { auth: { access: 'both', scopes: ['billing:read'] } },
    schema: {
      operationId: 'readBalance',
      summary: 'How much there is, and where some of it went',
      response: { 200: object({ balance: { type: 'integer' }, transfers: list(transfer) }) },
    },
    handler: async () => ({ balance, transfers }),
  })

  app.post<{ Body: Transfer }>('/v1/transfers', {
    config: {
      auth: {
        scopes: ['transfers:manage'],
        effects: { destructive: true },
        jobs: ['Transfer money'],
        errors: [
          {
            code: 'insufficient-funds',
            status: 409,
            meaning: 'There is less than that.',
            whatToDo: 'Read the balance, and transfer less.',
            retry: 'never',
          },
        ],
      },
    },
    schema: {
      operationId: 'transfer',
      summary: 'Transfer money',
      body: transfer,
      response: { 201: transfer, ...conflict },
    },
    handler: async ({ body }, reply) => {
      if (body.amount > balance)
        return refuse(reply, 409, 'Insufficient funds', `There are ${balance} cents.`)
      balance -= body.amount
      transfers.push(body)
      reply.code(201)
      return body
    },
  })

  app.post('/v1/payouts/onboarding', {
    config: {
      auth: { access: 'both', scopes: ['payouts:manage'], jobs: ['Start onboarding for payouts'] },
    },
    schema: {
      operationId: 'startOnboarding',
      summary: 'Start onboarding for payouts',
      response: { 202: empty('It goes on in a browser') },
    },
    handler: async (_request, reply) => reply.code(202).send(),
  })
}
