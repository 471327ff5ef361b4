// A peer on Node.js: jobs as JSON lines on its input, what happens as JSON lines on its output.
// Usage: node peer.js PACKAGE TABLE LEASE_MS
"use strict";

const channel = require("node:diagnostics_channel");
const http = require("node:http");
const readline = require("node:readline");

const [, , name, table, lease] = process.argv;
const leaseMs = Number(lease);
const endpoint = process.env.AWS_ENDPOINT_URL;
const region = process.env.AWS_DEFAULT_REGION;
const POLL_MS = 100;

let requests = 0;
channel.subscribe("http.client.request.start", () => requests++);

class Held extends Error {}

// Each returns what takes a lock: an async function that returns what gives it back.
const packages = {
    "dynamodb-lock-client": () => {
        process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = "1";
        const AWS = require("aws-sdk");
        const { FailOpen } = require("dynamodb-lock-client");
        const dynamodb = new AWS.DynamoDB.DocumentClient({
            endpoint,
            region,
            httpOptions: { agent: new http.Agent({ keepAlive: true, maxSockets: 100 }) },
        });
        return (id, wait) => new Promise((resolve, reject) => {
            const client = new FailOpen({
                dynamodb,
                lockTable: table,
                partitionKey: "id",
                heartbeatPeriodMs: Math.round(leaseMs / 3),
                leaseDurationMs: leaseMs,
                trustLocalTime: true,
                retryCount: Math.ceil((wait * 1000) / leaseMs),
            });
            client.acquireLock(id, (error, lock) => {
                if (error) {
                    return reject(error.code === "FailedToAcquireLock" ? new Held() : error);
                }
                lock.on("error", () => {});
                resolve(() => new Promise((done, fail) => {
                    lock.release((problem) => (problem ? fail(problem) : done()));
                }));
            });
        });
    },
    "@deliveryhero/dynamodb-lock": () => {
        const { DynamoDB } = require("@aws-sdk/client-dynamodb");
        const { DynamoDBDocument } = require("@aws-sdk/lib-dynamodb");
        const { dynamoDBLockClientFactory } = require("@deliveryhero/dynamodb-lock");
        // Some of its attributes are undefined.
        const marshallOptions = { removeUndefinedValues: true };
        const documents = DynamoDBDocument.from(new DynamoDB({ endpoint, region }), { marshallOptions });
        const client = dynamoDBLockClientFactory(documents, { tableName: table });
        return async (id, wait) => {
            try {
                const lock = await client.lock("bench", id, {
                    leaseDurationInMs: leaseMs,
                    prolongEveryMs: Math.round(leaseMs / 4),
                    trustLocalTime: true,
                    waitDurationInMs: wait ? POLL_MS : 0,
                    maxRetryCount: Math.ceil((wait * 1000) / POLL_MS),
                });
                return () => client.releaseLock(lock);
            } catch (error) {
                throw error.constructor.name === "LockNotGrantedError" ? new Held() : error;
            }
        };
    },
};

const acquire = packages[name]();
const held = new Map();

const jobs = {
    async acquire({ id, lock, wait }) {
        held.set(id, await acquire(lock, wait));
    },
    async release({ id }) {
        const release = held.get(id);
        held.delete(id);
        await release();
    },
    async cycles({ names }) {
        const cpu = process.cpuUsage();
        const start = process.hrtime.bigint();
        for (const lock of names) {
            await (await acquire(lock, 0))();
        }
        const wall = Number(process.hrtime.bigint() - start) / 1e9;
        const { user, system } = process.cpuUsage(cpu);
        return { cpu: (user + system) / 1e6, wall };
    },
};

const say = (line) => process.stdout.write(JSON.stringify({ ...line, requests }) + "\n");

const input = readline.createInterface({ input: process.stdin });
input.on("line", async (line) => {
    const job = JSON.parse(line);
    try {
        say({ id: job.id, ...(await jobs[job.do](job)) });
    } catch (error) {
        say({ id: job.id, error: error instanceof Held ? "held" : String(error) });
    }
});
input.on("close", () => process.exit());
