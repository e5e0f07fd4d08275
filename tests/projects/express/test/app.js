const request = require('supertest');
const app = require('../app');

describe('the app', function () {
	this.timeout(300000); // twenty of these at once on a busy machine
	it('adds', () => request(app).get('/sum/1,2,3').expect(200, { sum: 6 }));
	it('knows what it does not have', () => request(app).get('/nowhere').expect(404));
});
