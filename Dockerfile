# Latchkey as an image: compiled in one stage, run in another that has production dependencies only.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages packages
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages packages
RUN npm ci --omit=dev --ignore-scripts

FROM node:24-slim
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
# node_modules/@latchkey/sdk is a link to it.
COPY --from=build /app/packages/sdk/package.json packages/sdk/package.json
COPY --from=build /app/packages/sdk/dist packages/sdk/dist
COPY package.json LICENSE ./
COPY bin bin
COPY migrations migrations
RUN mkdir /data && chown node:node /data
ENV NODE_ENV=production
ENV LATCHKEY_HOST=0.0.0.0
ENV LATCHKEY_PORT=8080
ENV LATCHKEY_MANAGEMENT_PORT=9090
# Only the embedded store writes: without DATABASE_URL, which is for trying out.
ENV LATCHKEY_DATA_DIR=/data
VOLUME /data
USER node
EXPOSE 8080 9090
# Every 5 s in a process of its own, which for fetch would compile a parser each time: a quarter of a second of processor.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["node", "-e", "http.get(`http://127.0.0.1:${process.env.LATCHKEY_PORT}/livez`, (answer) => process.exit(answer.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
CMD ["node", "dist/main.js"]
